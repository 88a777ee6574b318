-- zones_walk begins with the same columns
DROP INDEX zones_name ON zones
