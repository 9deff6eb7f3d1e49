"""Training of RealNet on images of good parts."""
