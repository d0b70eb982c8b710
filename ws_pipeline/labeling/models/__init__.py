"""From votes to P(class): the label model, the plain vote, and the comparison of the two."""
