"""The bridges to the systems of Beijing, Guangdong and Fujian; one process per peer."""
