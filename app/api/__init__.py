"""HTTP: routes, headers, bodies and the one place where errors become answers."""
