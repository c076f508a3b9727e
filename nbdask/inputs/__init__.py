"""Input files: amplitude lists, matrices, source lists, SMV headers and masks."""
