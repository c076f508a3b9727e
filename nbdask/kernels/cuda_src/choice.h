// Which version of the loops this is.  A program for a card is told by macros, and everything else
// disappears from it; without macros the choice is read when the loops run.
#pragma once

#ifdef NB_LATTICE
#define LATTICE NB_LATTICE
#define AMPLITUDE NB_AMPLITUDE
#define FACTORS NB_FACTORS
#define DEGREE NB_DEGREE
#define PAIRS NB_PAIRS
#else
#define LATTICE p.lattice
#define AMPLITUDE p.amplitude
#define FACTORS p.factors
#define DEGREE p.degree
#define PAIRS p.pairs
#endif
