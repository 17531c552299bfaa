"""Documents that point to each other: where a link leads, what links here, what is embedded."""
