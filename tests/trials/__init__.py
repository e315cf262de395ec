"""Long runs outside the test suite: their figures stand in docs/trust.md."""
