"""One round: state.py says what it is, rules.py how records change it, member.py what a member does about it."""
