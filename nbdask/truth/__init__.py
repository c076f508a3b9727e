"""What is true of images: of each shot, and of each of its reflections."""
