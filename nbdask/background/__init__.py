"""Amorphous materials in the beam: tables of amplitudes, their formulas, what scatters."""
