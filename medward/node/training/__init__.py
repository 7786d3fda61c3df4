"""A member that trains: participant.py acts, work.py computes, data.py reads rows, rules.py is what all agree on."""
