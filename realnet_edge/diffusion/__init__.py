"""SDAS: a diffusion model of a category's good images, sampled off its mode to get anomalous ones.

RealNet paper, section 3.1 and appendix B. Importing this package alone brings no torch; its modules do.
"""
