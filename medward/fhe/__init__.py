"""MK-VQFHE, exact sums: nobody reads an update, everybody can check the total."""
