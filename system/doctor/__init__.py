"""`tuanqiao doctor`: what the services' databases say of the same thing, compared; and told again.

`differences.py` says what a difference is, in words and as pure functions; `comparisons.py` reads the
databases side by side; `looks.py` has what is not read side by side; `repairs.py` tells again;
`visit.py` goes through all of it.
"""
