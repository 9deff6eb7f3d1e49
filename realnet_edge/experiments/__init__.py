"""The paper's experiments: what varies in each, the published figures, and runs of our own beside them."""
