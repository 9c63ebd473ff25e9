"""Jobs: work that takes longer than an answer may. They have a process, a queue and time limits of their own."""
