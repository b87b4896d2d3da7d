"""A tenant's life: measured, exported, imported, erased, moved. Nothing is printed here."""
