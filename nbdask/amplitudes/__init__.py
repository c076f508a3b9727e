"""Structure factor amplitudes from atomic models and from reflection files."""
