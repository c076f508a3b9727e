"""Tests of structure factors from models and reflection files."""
