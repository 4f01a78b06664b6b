"""The certification kit: does a driver, with a card, keep the rules of the minidriver specification?"""
