"""Lists of shoppers and the placements of their pages, with ids and with places left to chance."""
