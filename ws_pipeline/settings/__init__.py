"""Settings of every step as typed values, checked when they are made; none of them needs torch."""
