"""Pictures in and out: fetched, checked, fitted, encoded, and labelled with what made them."""
