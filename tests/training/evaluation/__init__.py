"""The evaluation, against figures known by hand."""
