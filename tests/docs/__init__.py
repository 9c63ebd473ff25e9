"""README and the pages below docs/: their shell blocks are run, their tables compared with the code."""
