"""Operations with more than one implementation: reference and accelerated."""
