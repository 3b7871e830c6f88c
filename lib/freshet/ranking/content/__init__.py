"""What is known of items before anybody has had them: their words, and the known items that are most like them."""
