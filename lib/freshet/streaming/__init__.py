"""The live part: shoppers' histories as streaming state, lists made per micro-batch, the newest list of a shopper."""
