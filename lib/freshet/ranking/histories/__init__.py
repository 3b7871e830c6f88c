"""Histories of shoppers in the forms that scoring reads: packed, in blocks, as columns of an Arrow batch."""
