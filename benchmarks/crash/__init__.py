"""`perennial bench crash`: kill -9 of random processes under load, and what the store says then."""
