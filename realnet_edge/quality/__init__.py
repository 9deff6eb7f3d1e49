"""How real and how varied sets of synthetic images are (RealNet paper, appendix C.6)."""
