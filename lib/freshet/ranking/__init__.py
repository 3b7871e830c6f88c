"""From a shopper's history to a list: fold-in, scoring, filters, exact top-k, reasons. NumPy within Arrow batches."""
