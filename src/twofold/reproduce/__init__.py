"""Tables of methods × data sets × seeds: runs that can be killed, and pages made of what they found."""
