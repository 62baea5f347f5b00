"""`sesame study`: arms that differ in named settings, over several seeds, and what they show."""
