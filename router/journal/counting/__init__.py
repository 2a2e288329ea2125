"""Figures of a day or any span out of journals, counted by an engine: docs/figures.md says what each of them is."""
