"""What ``certutil -scinfo`` shows, and the name of what is wrong: read a card, try its keys, examine the lot."""
