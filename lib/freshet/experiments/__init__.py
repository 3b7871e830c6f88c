"""What lists earn: a new policy's value from logged lists, shoppers assigned to arms, outcomes, and decisions."""
