;; Fills a heap that the engine would have to tidy up.
;; whole
(core module $m
    (type $cell (struct (field (ref null $cell))))
    (func (result (ref $cell)) (struct.new $cell (ref.null $cell))))
(core instance (instantiate $m))
