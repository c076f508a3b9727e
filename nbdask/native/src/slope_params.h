// What the loops of derivatives are told besides Params.  Python reads the fields from this text, as
// those of params.h.
#pragma once

// Most ways in which orientations turn, and numbers that a shape depends on: the cells along each axis
// (square; few of them: their logarithms), terms of the squared radius (round), terms xx, yy, zz, xy, xz, yz of the form (gauss and
// spherical).
enum { MOST_SPINS = 24, MOST_SHAPE = 6 };

// Derivatives for one parameter.
struct Slope {
  // Cell vectors a, b, c before they are turned [m], what the shape depends on, ln of every term.
  double axes[9];
  double shape[6];
  double log;
  // The detector; deep: one layer further along the normal.
  double origin[3];
  double fast[3];
  double slow[3];
  double deep[3];
  double normal[3];
  double close_distance;
  double depth;
  double kahn;
  double background;
  double scale;
  // Which of these are not all 0; the way in which it turns orientations, -1: none; whether it changes
  // wavelengths.
  int turned;
  int shaped;
  int placed;
  int spin;
  int lit;
  int spare;
};

// What holds for all parameters.
struct Slopes {
  int parameters;
  int spins;
  // Numbers of the shape that are wanted: 0, 3 or 6.
  int shaped;
  // Whether axes turn, and whether anything moves q.
  int turned;
  int moved;
  // Of a card: pixels of a piece whose products are summed up.
  int piece;
  // Of a processor: whether gratings of many cells are computed in float32.
  int narrow;
  int spare;
};

// What a card sums up besides, exactly, in whole numbers of two units: per_coarse of the larger ones
// are 1, fine of the smaller ones are a larger one, most of which a number may have.
struct Pulls {
  double per_coarse;
  double fine;
  double most;
  int amplitudes;
  int sources;
};

// What is known of the data of normal equations: photons that the model does not hold, the square of
// the readout noise, the least variance, where residuals begin to count linearly (0: nowhere).
struct Data {
  double background;
  double noise;
  double least;
  double robust;
};
