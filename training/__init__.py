"""How Restora's own network is made: degradations, data, losses, training, evaluation. Not part of the product."""
