"""One function per formula in plain NumPy: the readable reference."""
