"""Result rows, tables, overlays and the HTML report."""
