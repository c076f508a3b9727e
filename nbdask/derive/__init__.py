"""Image -> image: photon noise, detector effects, pyramids, reduced images."""
