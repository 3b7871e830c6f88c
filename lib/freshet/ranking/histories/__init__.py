"""Histories of shoppers as scoring reads them: packed, in blocks, as columns of an Arrow batch."""
