"""Segments: filters as values, and who matches them.

In the order of reading: `model` is what a segment says, `fields` which filters there are, `clock` what its days and
dates mean at one instant, `compare` what an operator makes of a value, `evaluate` whether a person matches, `timed`
whether time alone lets people in and out. The store has the evaluation as SQL; tests hold both against each other, and
what is here is right.
"""
