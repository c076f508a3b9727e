"""One formula per place in plain NumPy: the readable reference."""
