;; Throws and catches without end.
;; whole
(core module $m
    (tag $ball)
    (func (loop $round (block $caught (try_table (catch $ball $caught) (throw $ball))) (br $round))))
(core instance (instantiate $m))
