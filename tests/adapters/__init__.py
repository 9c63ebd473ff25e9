"""Tests of what talks to things outside."""
