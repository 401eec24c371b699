"""What papers print, beside what is measured: one TOML file a paper. Nothing that computes imports this package."""
