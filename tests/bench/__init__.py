"""The benchmark: the whole system beside its own bare SQL, on the same servers in the same run."""
